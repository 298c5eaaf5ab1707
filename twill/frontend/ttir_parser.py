"""The textual TTIR of Triton as a tree: tokens, then statements, knowing no op by its meaning.

    Module    ::= (alias | module { Function* })
    Function  ::= tt.func NAME ( argument* ) { Block* }
    Block     ::= label? Statement*
    Statement ::= (result* =)? opname item* (: types)? region* loc(...)
    item      ::= %operand | word | literal | key = value | {attributes} | [ item* ] | ( item* )

The pretty form of TTIR is regular enough that one rule reads every op; only `scf.for` declares
values in its head and has a rule of its own. What an op means is decided in `lowering.py`.
"""

from __future__ import annotations

from typing import Any

from twill.frontend.ttir_reader import Reader
from twill.frontend.ttir_tree import Function, Module, Region, Statement


def parse_module(text: str) -> Module:
    """Read a whole TTIR module. Raises SyntaxProblem."""
    return _Parser(text).module()


class _Parser(Reader):
    # module level -------------------------------------------------------------------------------

    def module(self) -> Module:
        functions: list[Function] = []
        aliases: dict[str, Any] = {}
        while self.kind != "end":
            if self.kind == "alias":
                key = self.take()
                self.take("=")
                if self.value == "loc":
                    aliases[key] = self.location()
                else:
                    self.skip_value()
                continue
            self.take("module")
            if self.accept("attributes"):
                self.dictionary()
            self.take("{")
            while not self.accept("}"):
                functions.append(self.function())
            self.optional_location()
        return Module(functions, aliases)

    def skip_value(self) -> None:
        """An attribute alias: nothing of TTIR's meaning depends on it."""
        while self.kind not in ("alias", "end") and self.value != "module":
            self.at += 1

    def function(self) -> Function:
        self.take("tt.func")
        public = False
        while self.kind == "word":
            public = self.take() == "public" or public
        name = self.take()[1:].strip('"')
        arguments = self.arguments()
        if self.kind == "arrow":
            self.take()
            self.types()
        if self.accept("attributes"):
            self.dictionary()
        body = self.region() if self.value == "{" else Region([])
        return Function(name, arguments, body, self.optional_location(), public)

    def arguments(self) -> list[tuple[str, str]]:
        """`(%a: type {attributes} loc(...), ...)`."""
        found = []
        self.take("(")
        while not self.accept(")"):
            name = self.take()
            self.take(":")
            found.append((name, self.type()))
            if self.value == "{":
                self.dictionary()
            self.optional_location()
            self.accept(",")
        return found

    # statements ---------------------------------------------------------------------------------

    def region(self) -> Region:
        blocks: list[tuple[list[tuple[str, str]], list[Statement]]] = []
        self.take("{")
        while not self.accept("}"):
            if self.kind == "label":
                self.take()
                blocks.append((self.arguments() if self.value == "(" else [], []))
                self.take(":")
                continue
            if not blocks:
                blocks.append(([], []))
            blocks[-1][1].append(self.statement())
        return Region(blocks)

    def statement(self) -> Statement:
        results: list[str] = []
        while self.kind == "ssa":
            name = self.take()
            if self.accept(":"):
                results += [f"{name}#{i}" for i in range(int(self.take()))]
            else:
                results.append(name)
            self.accept(",")
        if results:
            self.take("=")
        statement = Statement(self.take().strip('"'), results)
        if statement.name == "scf.for":
            self.for_head(statement)
        self.items(statement)
        statement.location = self.location()
        return statement

    def for_head(self, statement: Statement) -> None:
        """`unsigned? %i = %lower to %upper step %step iter_args(%a = %x, ...) -> (types)`."""
        if self.accept("unsigned"):
            statement.words.append("unsigned")
        index = self.take()
        self.take("=")
        for separator in ("to", "step", ""):
            statement.operands.append(self.take())
            if separator:
                self.take(separator)
        statement.words.append(index)
        if not self.accept("iter_args"):
            return
        self.take("(")
        while not self.accept(")"):
            name = self.take()
            self.take("=")
            statement.carried.append((name, self.take()))
            self.accept(",")

    def items(self, statement: Statement) -> None:
        """Everything of a statement up to its location."""
        while self.value != "loc" or self.kind != "word":
            if self.accept(":"):
                if self.kind not in ("word", "angled") and self.value != "(":
                    continue  # tt.print writes a colon before its operands too
                statement.inputs += self.types()
                if self.kind == "arrow" or self.value == "to":
                    self.take()
                    statement.outputs += self.types()
            elif self.kind == "arrow":
                self.take()
                statement.outputs += self.types()
            elif self.value == "{" and not self.opens_dictionary():
                statement.regions.append(self.region())
            elif self.value in ("{", "<{"):
                statement.attributes.update(self.dictionary())
            elif self.kind == "ssa":
                statement.operands.append(self.take())
            elif self.value == "[":
                statement.brackets.append(self.bracket())
                statement.operands += statement.brackets[-1]
            elif self.kind == "word" and self.peek()[1] == "=":
                key = self.take()
                self.take("=")
                statement.attributes[key] = self.plain_attribute()
            elif self.kind in ("word", "angled", "number", "string", "symbol"):
                statement.words.append(self.take())
            elif self.kind == "label" or self.value in ("(", ")", ",", "="):
                self.take()
            else:
                self.take("loc")

    def bracket(self) -> list[str]:
        """`[%a, %b]`: the values in it."""
        found = []
        self.take("[")
        while not self.accept("]"):
            if self.kind == "ssa":
                found.append(self.take())
            else:
                self.take()
        return found

    def opens_dictionary(self) -> bool:
        """Whether the `{` here starts attributes rather than a region."""
        kind, _ = self.peek(1)
        return kind in ("word", "string") and self.peek(2)[1] in ("=", ",", "}")
