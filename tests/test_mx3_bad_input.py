"""Malformed scripts: one line with file, line and column, and nothing outside of the output folder."""

import random
import re
import subprocess
import sys

import pytest

from torchmag import mx3

GOOD = (
    """SetGridSize(8, 4, 1)
SetCellSize(5e-9, 5e-9, 3e-9)
Msat = 8e5
Aex = 1.3e-11
alpha = 0.5
m = uniform(1, 0.25, 0.1)
B_ext = vector(0.01, 0, 0.002*sin(2*pi*1e9*t))
tableAdd(E_total)
run(1e-13)
expect("mx", m.average()[0], 0.96, 0.1)
save(m)
""",
    """Nx := 8
setmesh(Nx, Nx, 2, 4e-9, 4e-9, 4e-9, 1, 0, 0)
disk := circle(30e-9).transl(1e-9, 0, 0).add(rect(5e-9, 8e-9).rotz(pi/4))
setgeom(disk.inverse().inverse())
defregion(1, xrange(0, inf))
for i := 0; i < 2; i++ {
	Msat.setregion(i, 8e5 + 1e5*i)
	if i > 0 && true { Ku1.setregion(i, 1e4) } else { print("left", i) }
}
anisU = vector(0, 0, 1)
m = vortex(1, -1).add(0.1, randommag())
q := Mul(Const(0.5), Dot(m, ConstVector(0, 0, 1)))
tableAdd(CropLayer(q, 1)); tableSave()
saveas(q, sprintf("q_%d", Nx))
""",
)
# What a mutation puts in: other tokens, names, arguments, endless loops, paths.
PIECES = (
    "(", ")", "{", "}", "[", "]", ",", ";", ":=", "=", "+", "*", "!", "&&", '"', "`", "/*", "//", "@", "#", "\\", "é", "\0", "1e", "1..2",
    "m", "nosuchname", "func", "for", "if", "else", "m.nosuchmethod()", "__class__", "m.__class__", "m.average", "m(1)", "pi = 3",
    "m = 3", "Msat = m", 'Msat = "a"', "alpha = true", "run()", "run(1, 2)", "run(-1)", "run(inf)", "setgridsize(0, 1, 1)",
    "setgridsize(1e9, 1e9, 1)", "setcellsize(-1, 1, 1)", "defregion(999, universe())", "defregion(1)", "m.setregion(1)", "vector(1, 2)",
    "x := 1; x := 2", 'y := 1; y = "a"', "for { }", "for i := 0; i < 10; { }", "for true { z := 1 }", 'saveas(m, "../out")',
    'saveas(m, "/tmp/out")', 'fprintln("../../x", 1)', 'fprintln("/etc/x", 1)', 'saveas(m, "a/../../b")', 'rm("../x")', 'loadfile("none.ovf")',
    'm.loadfile("../../../../etc/passwd")', 'expect("a", 1, 2, 0)', "uniform(0, 0, 0).nosuch()", "m = uniform(1, 2)", "Ku1 = 1/0",
    "sprintf(\"%d\", 1.5)", "sprintf(\"%z\", 1)", "m.comp(7)", "m.average()[5]", "regions.setcell(99, 0, 0, 1)", "openbc = true; Dind = 1e-3; relax()",
    "ext_scaleexchange(0, 1, -1); relax()", "setgeom(circle(1e-12))", "shift(100)", "fixdt = -1", "setsolver(17)", "t", "1 2", "a b c",
    "(((((" * 200, "newslice(3, 100000, 100000, 100000)", "steps(1.5)", "exit", "break", "return", "var x int", "x++", "5++", "print(",
)  # fmt: skip


def malformed():
    """200 scripts: cut, mistyped, with a token lost or doubled, or with something put in; the same ones each time."""
    draw, found = random.Random(20), []
    for piece in PIECES:
        lines = GOOD[len(found) % 2].splitlines()
        lines.insert(draw.randrange(6, len(lines)), piece)
        found.append("\n".join(lines))
    while len(found) < 200:
        text, kind = draw.choice(GOOD), len(found) % 4
        at = draw.randrange(1, len(text) - 1)
        if kind == 0:
            text = text[:at] + draw.choice('({["')
        elif kind == 1:
            text = text[:at] + draw.choice("qz%&$~") + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + 1 :]
        else:
            words = re.findall(r"\w+|\W", text)
            i, j = draw.randrange(len(words)), draw.randrange(len(words))
            words[i], words[j] = words[j], words[i]
            text = "".join(words)
        found.append(text)
    return found


def test_malformed_scripts_end_with_one_line(tmp_path):
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    script, out, failed = folder / "script.mx3", folder / "script.out", 0
    for number, text in enumerate(malformed()):
        script.write_text(text, encoding="utf-8")
        try:
            mx3.run(script, quiet=True, limit=3)
        except mx3.ScriptError as error:
            failed += 1
            said = str(error)
            assert re.fullmatch(re.escape(str(script)) + r":\d+:\d+: [^\n]+", said), (number, said)
            assert error.line <= text.count("\n") + 1, said
            assert "Traceback" not in said
        # Some mutations make another script that is right.
        assert set(folder.iterdir()) <= {script, out}, number
        assert set(tmp_path.iterdir()) == {tmp_path / "in"}
    assert failed >= 150


@pytest.mark.parametrize(
    "loop",
    [
        "for { }",
        "for true { x := 1 }",
        "i := 0\nfor i < 1 { i = i*1 }",
        "setgridsize(4, 4, 1)\nsetcellsize(1e-9, 1e-9, 1e-9)\nrunwhile(true)",
    ],
)
def test_endless_loops_end_at_the_limit(tmp_path, loop):
    script = tmp_path / "loop.mx3"
    script.write_text(loop)
    with pytest.raises(mx3.TimeLimit, match=r"loop.mx3:\d+:\d+: .*not finished after 0.3 s"):
        mx3.run(script, quiet=True, limit=0.3)


def test_the_command_prints_one_line(tmp_path):
    script = tmp_path / "bad.mx3"
    script.write_text("SetGridSize(8, 4, 1)\nSetCelSize(1, 1, 1)\n")
    done = subprocess.run([sys.executable, "-m", "torchmag", "mx3", str(script)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"{script}:2:1: SetCelSize is not defined; did you mean setcellsize?\n"


def test_a_link_in_the_folder_leads_nowhere(tmp_path):
    out, away = tmp_path / "out", tmp_path / "away"
    out.mkdir()
    away.mkdir()
    (out / "link").symlink_to(away)
    script = tmp_path / "s.mx3"
    script.write_text('fprintln("link/x.txt", 1)')
    with pytest.raises(mx3.ScriptError, match="leads out of the output folder"):
        mx3.run(script, out, quiet=True)
    assert not list(away.iterdir())
