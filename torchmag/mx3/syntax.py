"""Tokens to a tree: statements and expressions of Go that mumax3 scripts use.

Names are lower case: scripts do not tell cases apart.
"""

from dataclasses import dataclass

from torchmag.mx3.lexer import Token, tokens
from torchmag.mx3.script_error import ScriptError

BINARY = ({"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}, {"*", "/", "%"})
ASSIGN = {":=", "=", "+=", "-=", "*=", "/=", "%="}
# Of brackets and blocks in each other; a level takes about ten of Python's calls.
DEEPEST = 60


@dataclass(frozen=True)
class Node:
    position: tuple[int, int]


@dataclass(frozen=True)
class Literal(Node):
    value: object


@dataclass(frozen=True)
class Name(Node):
    name: str
    text: str


@dataclass(frozen=True)
class Unary(Node):
    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call(Node):
    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Member(Node):
    owner: Node
    name: str
    text: str


@dataclass(frozen=True)
class Index(Node):
    owner: Node
    index: Node


@dataclass(frozen=True)
class Assign(Node):
    operator: str
    target: Node
    value: Node


@dataclass(frozen=True)
class Step(Node):
    """x++ or x--."""

    operator: str
    target: Node


@dataclass(frozen=True)
class Expression(Node):
    value: Node


@dataclass(frozen=True)
class Block(Node):
    body: tuple[Node, ...]


@dataclass(frozen=True)
class If(Node):
    start: Node | None
    condition: Node
    then: Block
    otherwise: Node | None


@dataclass(frozen=True)
class For(Node):
    start: Node | None
    condition: Node | None
    after: Node | None
    body: Block


def parse(text: str) -> Block:
    """The tree of a script.

    Raises:
        ScriptError: with the place of the first token that does not fit.
    """
    return Parser(tokens(text)).script()


class Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, found: list[Token]):
        self.found, self.at, self.depth = found, 0, 0

    @property
    def here(self) -> Token:
        return self.found[self.at]

    def script(self) -> Block:
        body = self._statements("end of the script")
        return Block((1, 1), body)

    def _statements(self, end):
        body = []
        while self.here.text != end or self.here.kind == "string":
            if self.here.kind == "end":
                raise self._expected(end)
            if self._take(";"):
                continue
            body.append(self._statement())
            if self.here.text not in (";", end):
                raise self._expected("the end of the statement")
        return tuple(body)

    def _statement(self):
        token = self.here
        if token.kind == "name" and token.value in ("for", "if", "func", "var", "switch", "return", "break", "continue"):
            if token.value in ("for", "if"):
                return self._nested(self._for if token.value == "for" else self._if)
            raise ScriptError(f"{token.text}: not part of the language of mumax3 scripts", token.position)
        return self._nested(self._block) if token.text == "{" else self._simple()

    def _simple(self):
        position, target = self.here.position, self._expression()
        operator = self.here.text if self.here.kind == "symbol" else ""
        if operator in ASSIGN:
            at = self._next().position
            return Assign(at, operator, self._as_target(target, operator), self._expression())
        if operator in ("++", "--"):
            return Step(self._next().position, operator, self._as_target(target, operator))
        return Expression(position, target)

    def _as_target(self, node, operator):
        if not isinstance(node, Name):
            raise ScriptError(f"{operator} needs a name on its left", node.position)
        return node

    def _block(self):
        position = self._expect("{").position
        body = self._statements("}")
        self._expect("}")
        return Block(position, body)

    def _if(self):
        position, start, condition = self._next().position, None, self._simple()
        if self._take(";"):
            start, condition = condition, self._simple()
        condition, then, otherwise = self._as_condition(condition), self._nested(self._block), None
        if self.here.kind == "name" and self.here.value == "else":
            self._next()
            chained = self.here.kind == "name" and self.here.value == "if"
            otherwise = self._nested(self._if if chained else self._block)
        return If(position, start, condition, then, otherwise)

    def _for(self):
        position, start, condition, after = self._next().position, None, None, None
        if self.here.text != "{":
            first = None if self.here.text == ";" else self._simple()
            if self._take(";"):
                start, condition = first, None if self.here.text == ";" else self._simple()
                self._expect(";")
                after = None if self.here.text == "{" else self._simple()
            else:
                condition = first
        return For(position, start, condition and self._as_condition(condition), after, self._nested(self._block))

    def _as_condition(self, statement):
        if not isinstance(statement, Expression):
            raise ScriptError("expected a condition", statement.position)
        return statement.value

    def _expression(self, level=0):
        if level == len(BINARY):
            return self._unary()
        left = self._expression(level + 1)
        while self.here.kind == "symbol" and self.here.text in BINARY[level]:
            token = self._next()
            left = Binary(token.position, token.text, left, self._expression(level + 1))
        return left

    def _unary(self):
        if self.here.kind == "symbol" and self.here.text in ("-", "+", "!"):
            token = self._next()
            return Unary(token.position, token.text, self._nested(self._unary))
        return self._nested(self._postfix)

    def _postfix(self):
        node = self._operand()
        while True:
            token = self.here
            if self._take("("):
                node = Call(node.position, node, self._arguments())
            elif self._take("["):
                node = Index(token.position, node, self._expression())
                self._expect("]")
            elif self._take("."):
                if self.here.kind != "name":
                    raise self._expected("a name after the dot")
                member = self._next()
                node = Member(member.position, node, member.value, member.text)
            else:
                return node

    def _arguments(self):
        found = []
        while not self._take(")"):
            found.append(self._expression())
            if self.here.text != ")":
                self._expect(",")
        return tuple(found)

    def _operand(self):
        token = self.here
        if token.kind in ("int", "float", "string"):
            return Literal(self._next().position, token.value)
        if token.kind == "name":
            self._next()
            return Name(token.position, token.value, token.text)
        if self._take("("):
            node = self._expression()
            self._expect(")")
            return node
        raise self._expected("an expression")

    def _nested(self, rule):
        self.depth += 1
        if self.depth > DEEPEST:
            raise ScriptError("nested too deeply", self.here.position)
        node = rule()
        self.depth -= 1
        return node

    def _next(self):
        self.at += 1
        return self.found[self.at - 1]

    def _take(self, text):
        if self.here.kind == "symbol" and self.here.text == text:
            self.at += 1
            return True
        return False

    def _expect(self, text):
        if self.here.kind != "symbol" or self.here.text != text:
            raise self._expected(text)
        return self._next()

    def _expected(self, what):
        token = self.here
        shown = "the end of the line" if token.value == "newline" else token.text[:40]
        return ScriptError(f"expected {what}, got {shown}", token.position)
