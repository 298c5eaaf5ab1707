"""Reads the text form of a Graph; twill.ir.text states its grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from twill.errors import InputError, Location
from twill.ir.graph import DTYPE_BITS, Attribute, Carried, Graph, Loop, Op, Outer, Type, Value

T = TypeVar("T")

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\n]+|\#[^\n]*)
      | (?P<value>%[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<number>-?(?:(?:inf|nan)(?![A-Za-z0-9_])|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<mark>[(){}\[\]<>,:=*])""",
    re.VERBOSE,
)


def parse_graph(text: str, file: str = "<graph>") -> Graph:
    """The graph that `text` spells. It is not verified: see twill.ir.verify.

    Raises InputError with line:column and what was expected; `file` names the text in it.
    """
    return _Parser(text, file).graph()


class _Token(NamedTuple):
    kind: str  # value, number, word, string, mark, end
    text: str
    offset: int


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.tokens = self._lex()
        self.position = 0

    def graph(self) -> Graph:
        self._expect("graph")
        name = json.loads(self._take("string").text) if self._peek().kind == "string" else self._take("word").text
        self._expect("(")
        arguments = () if self._at(")") else self._list(self._typed_value)
        self._expect(")")
        subtiles = self._integer() if self._accept("subtiles") else 1
        self._expect("{")
        before = self._ops()
        outer = self._outer()
        before += self._ops() if outer else ()
        loop = self._loop()
        after = self._ops()
        if outer:
            self._expect("}")
        self._expect("}")
        if self._peek().kind != "end":
            raise self._error("the end of the text after the graph's `}`")
        return Graph(name, arguments, before, loop, after, subtiles, outer)

    def _outer(self) -> Outer | None:
        """The head of a loop whose body has a loop; nothing is taken where there is none."""
        begin = self.position
        if not self._at("for"):
            return None
        outer = Outer(*self._range())
        inside = self.position
        nested = not self._at("carry") and self._ops() is not None and self._at("for")
        self.position = inside if nested else begin
        return outer if nested else None

    def _loop(self) -> Loop:
        if not self._at("for"):
            raise self._error("an op or the loop `for ...` (a graph has exactly one)")
        index, lower, upper, step, location = self._range()
        carried = []
        while self._at("carry"):
            carried.append(self._carry())
        body = self._ops()
        self._expect("}")
        return Loop(index, lower, upper, step, tuple(carried), body, location)

    def _range(self) -> tuple[Value, str, str, str, Location | None]:
        """The head of a loop: index, lower bound, upper bound, step, location."""
        self._expect("for")
        index = self._typed_value()
        self._expect("in", "[")
        lower = self._value()
        self._expect(",")
        upper = self._value()
        self._expect(")", "step")
        step = self._value()
        location = self._location()
        self._expect("{")
        return index, lower, upper, step, location

    def _carry(self) -> Carried:
        self._expect("carry")
        argument = self._typed_value()
        self._expect("from")
        initial = self._value()
        self._expect("yields")
        yielded = self._value()
        self._expect("gives")
        result = self._typed_value()
        return Carried(argument, initial, yielded, result, self._subtile())

    def _ops(self) -> tuple[Op, ...]:
        ops = []
        while not (self._at("}") or self._at("for")):
            ops.append(self._op())
        return tuple(ops)

    def _op(self) -> Op:
        names: tuple[str, ...] = ()
        if self._peek().kind == "value":
            names = self._list(self._value)
            self._expect("=")
        elif self._peek().kind != "word":
            raise self._error("an op (`%result = opcode ...` or `opcode ...`) or `}`")
        opcode = self._take("word").text
        operands = self._list(self._value) if self._peek().kind == "value" and not self._starts_op() else ()
        attributes = self._attributes()
        types: tuple[Type, ...] = ()
        if names:
            self._expect(":")
            start = self.position
            types = self._list(self._type)
            if len(types) != len(names):
                self.position = start
                raise self._error(f"{len(names)} result types, one a result (found {len(types)})")
        results = tuple(Value(name, type) for name, type in zip(names, types, strict=True))
        subtile = self._subtile()
        return Op(opcode, operands, results, attributes, self._location(), subtile)

    def _starts_op(self) -> bool:
        """Whether the values ahead are the results of the next op, as after an op without operands and results."""
        ahead = self.position
        while self.tokens[ahead].kind == "value" and self.tokens[ahead + 1].text == ",":
            ahead += 2
        return self.tokens[ahead].kind == "value" and self.tokens[ahead + 1].text == "="

    def _attributes(self) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {}
        if not self._accept("{"):
            return attributes
        while not self._at("}"):
            if attributes:
                self._expect(",")
            if self._peek().text in attributes:
                raise self._error("an attribute that was not given before")
            key = self._take("word").text
            self._expect("=")
            attributes[key] = self._attribute()
        self._expect("}")
        return attributes

    def _attribute(self) -> Attribute:
        token = self._peek()
        if token.text in ("true", "false"):
            self.position += 1
            return token.text == "true"
        if token.kind == "string":
            return self._string()
        if self._accept("["):
            values = () if self._at("]") else self._list(self._integer)
            self._expect("]")
            return values
        if token.kind != "number":
            raise self._error("an attribute value (true, false, a number, a string or a list of integers)")
        if re.fullmatch(r"-?[0-9]+", token.text):
            return self._integer()
        self.position += 1
        return float(token.text)

    def _type(self) -> Type:
        if self._accept("descriptor"):
            self._expect("<")
            type = Type(self._dtype(), self._shape(), "descriptor")
            self._expect(">")
            return type
        kind = self._accept("*")
        return Type(self._dtype(), self._shape(), "pointer" if kind else "value")

    def _dtype(self) -> str:
        if self._peek().text not in DTYPE_BITS:
            raise self._error(f"a type ({', '.join(DTYPE_BITS)}, *TYPE or descriptor<TYPE>)")
        return self._take("word").text

    def _shape(self) -> tuple[int, ...]:
        if not self._accept("["):
            return ()
        extents = self._list(self._integer)
        self._expect("]")
        return extents

    def _typed_value(self) -> Value:
        name = self._value()
        self._expect(":")
        return Value(name, self._type())

    def _value(self) -> str:
        return self._take("value").text[1:]

    def _subtile(self) -> int | None:
        return self._integer() if self._accept("subtile") else None

    def _location(self) -> Location | None:
        if not self._accept("at"):
            return None
        file = self._string()
        self._expect(":")
        line = self._integer()
        self._expect(":")
        return Location(file, line, self._integer())

    def _string(self) -> str:
        token = self._take("string")
        try:
            return str(json.loads(token.text))
        except json.JSONDecodeError:
            self.position -= 1
            raise self._error("a string quoted as in JSON") from None

    def _integer(self) -> int:
        if not re.fullmatch(r"-?[0-9]{1,40}", self._peek().text):
            raise self._error("an integer")
        return int(self._take("number").text)

    def _list(self, rule: Callable[[], T]) -> tuple[T, ...]:
        items = [rule()]
        while self._accept(","):
            items.append(rule())
        return tuple(items)

    def _peek(self) -> _Token:
        return self.tokens[self.position]

    def _at(self, text: str) -> bool:
        return self._peek().text == text and self._peek().kind != "string"

    def _accept(self, text: str) -> bool:
        if not self._at(text):
            return False
        self.position += 1
        return True

    def _expect(self, *texts: str) -> None:
        for text in texts:
            if not self._accept(text):
                raise self._error(f"`{text}`")

    def _take(self, kind: str) -> _Token:
        token = self._peek()
        if token.kind != kind:
            names = {"value": "a value (`%name`)", "word": "a name", "string": "a string", "number": "a number"}
            raise self._error(names[kind])
        self.position += 1
        return token

    def _lex(self) -> list[_Token]:
        tokens = []
        offset = 0
        while offset < len(self.text):
            match = _TOKEN.match(self.text, offset)
            if match is None:
                found = _Token("mark", self.text[offset], offset)
                raise self._error("a value, name, number, string or punctuation", found)
            if match.lastgroup != "skip":
                tokens.append(_Token(str(match.lastgroup), match.group(), offset))
            offset = match.end()
        return [*tokens, _Token("end", "", len(self.text))]

    def _error(self, expected: str, token: _Token | None = None) -> InputError:
        token = token or self._peek()
        line = self.text.count("\n", 0, token.offset) + 1
        column = token.offset - (self.text.rfind("\n", 0, token.offset) + 1) + 1
        found = f"`{token.text}`" if token.text else "the end of the text"
        return InputError(f"expected {expected}, found {found}.", location=Location(self.file, line, column))
