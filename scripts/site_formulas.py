"""Formulas of the documentation as MathML, written when the site is built: pages need no network and no JavaScript for them."""

import html
import re

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

# What pymdownx.arithmatex (generic) leaves: a span with \(...\), a div with \[...\].
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content, page, **_):
    """A page's HTML with its formulas translated (a hook of MkDocs)."""

    def translated(found):
        tex = html.unescape(found[2]).strip()
        try:
            formula = convert(tex, display="block" if found[1] == "div" else "inline")
        except Exception as error:
            raise PluginError(f"{page.file.src_path}: no MathML for {tex!r}: {error!r}") from error
        return f'<{found[1]} class="formula">{formula}</{found[1]}>'

    return FORMULA.sub(translated, content)
