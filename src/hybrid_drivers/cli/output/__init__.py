"""What listings and pages of details look like, for people and for programs.

A listing is declared once; :func:`listing_options` gives a command the options OpenNebula's own ``list`` and ``top``
commands have (OpenNebula ``src/cli/cli_helper.rb``), and an ``output`` that shows rows as these options say. Of those
options ``--listconf`` is left out: it names column lists in a file of OpenNebula's that knows nothing of our columns.
"""

from hybrid_drivers.cli.output.columns import Column, Listing
from hybrid_drivers.cli.output.listed import ListOutput, ShowOutput
from hybrid_drivers.cli.output.options import listing_options, show_options, top_options
from hybrid_drivers.cli.output.page import Section
from hybrid_drivers.cli.output.printable import printable

__all__ = [
    "Column",
    "ListOutput",
    "Listing",
    "Section",
    "ShowOutput",
    "listing_options",
    "printable",
    "show_options",
    "top_options",
]
