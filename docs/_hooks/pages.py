"""Pages of the site that stand elsewhere in the repository: README, CONTRIBUTING, CHANGELOG.

Their links, and those to them, are relative in the repository and work on GitHub; here they are
turned into links of the site. A link to any other file of the repository becomes its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

#: Page of the site → file of the repository.
PAGES = {
    'index.md': 'README.md',
    'contributing.md': 'CONTRIBUTING.md',
    'changelog.md': 'CHANGELOG.md',
}
_ROOT = Path(__file__).parents[2]
_LINK = re.compile(r'\[([^\]]+)\]\(([^)#:\s]+)(#[^)]*)?\)')


def on_files(files, config, **kwargs):
    """Add the pages."""
    from mkdocs.structure.files import File  # the rest of this file is tested without mkdocs

    for page, source in PAGES.items():
        text = (_ROOT / source).read_text(encoding='utf-8')
        files.append(File.generated(config, page, content=site_links(text, '')))
    return files


def on_page_markdown(markdown: str, page, **kwargs) -> str:
    """Turn the links of the other pages."""
    if page.file.src_uri in PAGES:
        return markdown
    return site_links(markdown, posixpath.dirname(f'docs/{page.file.src_uri}'))


def site_links(markdown: str, folder: str) -> str:
    """Turn relative links of a file in the repository into links between pages of the site.

    Args:
        markdown: Text of the file.
        folder: Where it stands in the repository.
    """
    here = '' if folder == '' else posixpath.relpath(folder, 'docs')

    def turned(match: re.Match) -> str:
        text, target, anchor = match[1], match[2], match[3] or ''
        path = posixpath.normpath(posixpath.join(folder, target))
        page = next((page for page, source in PAGES.items() if source == path), None)
        if page is None and path.startswith('docs/'):
            page = path.removeprefix('docs/')
        if page is None:
            return text
        return f'[{text}]({posixpath.relpath(page, here or ".")}{anchor})'

    return _LINK.sub(turned, markdown)
