"""Conjunction, disjunction and negation that settle constants at once, so that only what is open reaches Z3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import z3

Term: TypeAlias = z3.BoolRef | bool


def all_of(terms: Iterable[Term]) -> Term:
    """True where every term is."""
    open_: list[z3.BoolRef] = []
    for term in terms:
        if term is False:
            return False
        if term is not True:
            open_.append(term)
    return True if not open_ else open_[0] if len(open_) == 1 else _nary(z3.Z3_mk_and, open_)


def any_of(terms: Iterable[Term]) -> Term:
    """True where some term is."""
    open_: list[z3.BoolRef] = []
    for term in terms:
        if term is True:
            return True
        if term is not False:
            open_.append(term)
    return False if not open_ else open_[0] if len(open_) == 1 else _nary(z3.Z3_mk_or, open_)


def no(term: Term) -> Term:
    """True where the term is not."""
    if isinstance(term, bool):
        return not term
    return z3.BoolRef(z3.Z3_mk_not(term.ctx_ref(), term.as_ast()), term.ctx)


def at_most(terms: Sequence[tuple[Term, int]], limit: int) -> Term:
    """sum of the weights of the true terms <= limit; weights are not negative."""
    limit -= sum(weight for term, weight in terms if term is True)
    open_ = [(term, weight) for term, weight in terms if not isinstance(term, bool) and weight > 0]
    if limit < 0:
        return False
    if sum(weight for _, weight in open_) <= limit:
        return True
    return z3.PbLe(open_, limit)


def _nary(make: Callable[..., z3.Ast], terms: Sequence[z3.BoolRef]) -> z3.BoolRef:
    """z3.And or z3.Or of two or more terms, without the coercions that take most of a model's time to build."""
    arguments = (z3.Ast * len(terms))(*(term.as_ast() for term in terms))
    return z3.BoolRef(make(terms[0].ctx_ref(), len(terms), arguments), terms[0].ctx)
