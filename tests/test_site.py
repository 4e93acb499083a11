"""The documentation's site in a browser without network."""

import subprocess
import sys
from pathlib import Path

import pytest
from browser import browser, free_port, served

ROOT = Path(__file__).parent.parent
PAGE = """
return {
  formulas: Array.from(document.querySelectorAll('math')).map(f => Math.min(f.getBoundingClientRect().width, f.getBoundingClientRect().height)),
  tex: /\\\\[()\\[\\]]|\\$\\$|\\\\frac/.test(document.querySelector('.rst-content').innerText),
  colours: new Set(Array.from(document.querySelectorAll('pre span')).map(s => getComputedStyle(s).color)).size,
  elsewhere: performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin)),
  pictures: Array.from(document.querySelectorAll('.rst-content img')).map(i => i.naturalWidth),
  overflow: document.documentElement.scrollWidth - innerWidth,
};
"""


@pytest.mark.slow
def test_pages_need_no_network(tmp_path):
    for needed in ("mkdocs", "mkdocstrings", "pymdownx", "latex2mathml"):
        pytest.importorskip(needed)
    with browser(tmp_path / "profile") as page:
        build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
        subprocess.run(build, check=True, cwd=ROOT)
        port = free_port()
        server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path / "site")]
        with served(server, address := f"http://127.0.0.1:{port}/"):

            def look(name, width=1400):
                page.resize(width, 1000)
                page.open(address + name)
                seen = page.run(PAGE)
                assert not seen["tex"] and not seen["elsewhere"] and seen["overflow"] <= 0, (name, seen)
                assert not [line for line in page.log() if "Failed" in line or "Uncaught" in line]
                return seen

            theory = look("theory/")
            assert len(theory["formulas"]) > 30 and min(theory["formulas"]) > 4
            assert look("terms/")["colours"] > 3
            assert min(look("gallery/")["pictures"]) > 500
            for name in ("theory/", "terms/", "validation/", "api/"):
                look(name, width=500)
