"""The language of mumax3 scripts by itself: tokens, statements, values, what is printed."""

import math

import pytest

from torchmag import mx3
from torchmag.mx3.lexer import tokens
from torchmag.mx3.syntax import Assign, Binary, Call, For, parse
from torchmag.mx3.values import formatted, shown


@pytest.fixture
def printed(tmp_path, capsys):
    def run(text):
        script = tmp_path / "script.mx3"
        script.write_text(text)
        mx3.run(script)
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def error(tmp_path):
    def run(text):
        script = tmp_path / "script.mx3"
        script.write_text(text)
        with pytest.raises(mx3.ScriptError) as caught:
            mx3.run(script, quiet=True)
        return str(caught.value).removeprefix(str(script))

    return run


def test_semicolons_are_put_in_as_in_go():
    found = [token.text for token in tokens("a := f(1,\n 2) // two\nb++ /* x\n y */ c")]
    assert found == ["a", ":=", "f", "(", "1", ",", "2", ")", ";", "b", "++", ";", "c", ";", "end of the script"]


def test_positions_are_those_of_the_text():
    found = {token.text: token.position for token in tokens('x := 1\n\t/* a\n b */ yy = "s"')}
    assert found["x"] == (1, 1)
    assert found["yy"] == (3, 7)
    assert found['"s"'] == (3, 12)


def test_the_tree_of_a_loop():
    (loop,) = parse("for i := 0; i < 3; i++ { f(i + 2*i) }").body
    assert isinstance(loop, For)
    assert isinstance(loop.start, Assign)
    (call,) = (statement.value for statement in loop.body.body)
    assert isinstance(call, Call)
    assert isinstance(call.arguments[0], Binary)
    assert call.arguments[0].operator == "+"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2*3", 7), ("(1 + 2)*3", 9), ("-2*-3", 6), ("7/2", 3.5), ("10 - 4 - 3", 3), ("2*3 < 7", True), ("!true || 1 != 2 && false", False),
        ("1e3 == 1000", True), ("0x10", 16), (".5 + 1.", 1.5), ("pow(2, 10)", 1024), ("1/0", math.inf), ("sqrt(-1) == sqrt(-1)", False),
        ("vector(1, 2, 3).cross(vector(0, 0, 1)).add(vector(0, 0, 2))", (2, -1, 2)), ("vector(3, 4, 0).len()", 5), ("mod(7, 4)", 3),
        ("vector(1, 2, 3)[1]", 2), ("abs(cbrt(-8))", 2), ("j0(2)", 0.22389077914123567), ("jn(3, 2)", 0.12894324947440205),
        ("yn(2, 2)", -0.6174081041906827), ("jn(2, 10)", 0.25463031368512062),
    ],
)  # fmt: skip
def test_expressions(printed, expression, value):
    (line,) = printed(f"print({expression})")
    if isinstance(value, bool):
        assert line == str(value).lower()
    else:
        numbers = [float(word) for word in line.strip("[]").replace("+Inf", "inf").split()]
        assert numbers == pytest.approx(list(value) if isinstance(value, tuple) else [value], rel=1e-12)


def test_statements(printed):
    lines = printed("""
        total := 0
        for i := 0; i < 4; i++ { for j := 0; j < i; j++ { total += j } }
        k := 0
        for k < 10 { k += 3 }
        if total > 100 { print("no") } else if k == 12 { print("total", total, "k", k) } else { print("no") };;
        { total := "inner"; print(total) }
        Print(TOTAL)
        s := sprint("a", 1, 2, "b", 1.5)
        print(s)
    """)
    assert lines == ["total 4 k 12", "inner", "4", "a1 2b1.5"]


def test_functions_of_time_keep_the_variables_that_they_were_made_with(printed):
    lines = printed("""
        setgridsize(1, 1, 1); setcellsize(1e-9, 1e-9, 1e-9)
        a := 2.0
        Ku1 = a + 1e9*t
        a = 100
        Ku2 = a
        a = 0
        t = 3e-9
        print(Ku1.average(), Ku2.average())
    """)
    assert lines == ["5 100"]


def test_table_variables_stay_live(tmp_path):
    script = tmp_path / "s.mx3"
    script.write_text('setmesh(1, 1, 1, 1, 1, 1, 0, 0, 0)\nf := 1\ntableaddvar(f, "f", "Hz"); tablesave()\nf = 2\ntablesave()')
    mx3.run(script, quiet=True)
    rows = (tmp_path / "s.out" / "table.txt").read_text().splitlines()
    assert rows[0].endswith("f (Hz)")
    assert [row.split("\t")[-1] for row in rows[1:]] == ["1", "2"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.1, "0.1"), (-2.5e-7, "-2.5e-07"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (123456.789, "123456.789"), (True, "true"),
        (1e-5, "1e-05"), (0.0001, "0.0001"), (float("nan"), "NaN"), (float("-inf"), "-Inf"), (7, "7"), ("s", "s"), (1.5e300, "1.5e+300"),
    ],
)  # fmt: skip
def test_numbers_are_shown_as_go_shows_them(value, text):
    assert shown(value) == text


def test_formats():
    assert formatted("%s_%03d|%6.2f|%e|%v|%%|%x", ["m", 7, 3.14159, 1e-9, 0.5, 255]) == "m_007|  3.14|1.000000e-09|0.5|%|ff"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x := 1\nx = \"a\"", ":2:1: x: expected a number, got a string"),
        ("n := 1\nn = 0.5", ":2:1: n: n is a whole number, got 0.5; declare it with := and a decimal point"),
        ("a := 1\nprint(a, nosuch)", ":2:10: nosuch is not defined"),
        ("setgridsiz(1, 1, 1)", ":1:1: setgridsiz is not defined; did you mean setgridsize?"),
        ("run(1, 2)", ":1:1: run takes 1 argument, got 2"),
        ("if 1 { }", ":1:4: condition: expected true or false, got a int"),
        ("x := sin(\"a\")", ":1:10: sin: expected a number, got a string"),
        ("print(1", ":1:8: expected ,, got the end of the line"),
        ("for {", ":1:6: expected }, got end of the script"),
        ('s := "abc', ":1:6: string without an end"),
        ("vector(1, 2, 3).nosuch()", ":1:17: a vector has no method nosuch"),
        ("pi = 3", ":1:1: pi cannot be assigned to"),
        ("x := 1\nx := 2", ":2:1: x is declared already; use = to set it"),
        ("func f() {}", ":1:1: func: not part of the language of mumax3 scripts"),
        ("m.__class__()", ":1:3: a quantity has no method __class__"),
        ("run(1e-9)", ":1:1: run: the mesh is not set; use SetGridSize and SetCellSize first"),
    ],
)  # fmt: skip
def test_errors(error, text, said):
    assert error(text) == said
