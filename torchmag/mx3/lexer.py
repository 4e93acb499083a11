"""Text of a script to tokens: those of Go, with its rule for the semicolons that are left out."""

import re
from dataclasses import dataclass

from torchmag.mx3.script_error import ScriptError

TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+)
  | (?P<newline>\n)
  | (?P<comment>//[^\n]*)
  | (?P<block>/\*.*?\*/)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
  | (?P<symbol>:=|\+\+|--|\+=|-=|\*=|/=|%=|==|!=|<=|>=|&&|\|\||[-+*/%=<>!(){}\[\],;.])
    """,
    re.VERBOSE | re.DOTALL,
)
ENDS_STATEMENT = {")", "]", "}", "++", "--"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'", "0": "\0"}


@dataclass(frozen=True)
class Token:
    """kind: name, int, float, string, symbol or end; position: (line, column) from 1."""

    kind: str
    text: str
    value: object
    position: tuple[int, int]


def tokens(text: str) -> list[Token]:
    """All tokens of a script, an "end" last.

    Raises:
        ScriptError: something that is no token.
    """
    found, at, line, start = [], 0, 1, 0
    while at < len(text):
        position = (line, at - start + 1)
        match = TOKEN.match(text, at)
        if match is None:
            raise ScriptError(_unknown(text, at), position)
        kind, word, at = match.lastgroup, match.group(), match.end()
        lines = word.count("\n")
        if lines:
            line, start = line + lines, match.start() + word.rindex("\n") + 1
        if (kind == "newline" or kind == "block" and lines) and _ends(found):
            found.append(Token("symbol", ";", "newline", position))
        elif kind in ("number", "name", "string", "symbol"):
            found.append(_token(kind, word, position))
    position = (line, at - start + 1)
    if _ends(found):
        found.append(Token("symbol", ";", "newline", position))
    return [*found, Token("end", "end of the script", None, position)]


def _ends(found):
    return bool(found) and (found[-1].kind in ("name", "int", "float", "string") or found[-1].text in ENDS_STATEMENT)


def _token(kind, word, position):
    if kind == "number":
        try:
            if word[:2] in ("0x", "0X"):
                return Token("int", word, int(word, 16), position)
            return Token("int", word, int(word), position) if word.isdecimal() else Token("float", word, float(word), position)
        except ValueError:
            raise ScriptError(f"{word[:40]}: too long a number", position) from None
    if kind == "string":
        value = word[1:-1] if word[0] == "`" else re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), word[1:-1])
        return Token("string", word, value, position)
    return Token(kind, word, word.lower() if kind == "name" else word, position)


def _unknown(text, at):
    if text.startswith("/*", at):
        return "comment without an end, expected */"
    if text[at] in '"`':
        return "string without an end"
    return f"unexpected character {text[at]!r}"
