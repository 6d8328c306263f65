"""Write the table of docs/formats.md out of the registry: ``python docs/formats_table.py``."""

import re
from pathlib import Path

from unnoise.images.formats import about, registry

document = Path(__file__).with_name("formats.md")
text = document.read_text("utf-8")
table = f"<!-- begin: formats -->\n{about.table(registry.about())}\n<!-- end: formats -->"
pattern = r"<!-- begin: formats -->.*?<!-- end: formats -->"
document.write_text(re.sub(pattern, lambda _: table, text, flags=re.S), "utf-8")
