"""How do `python -m genmodel_bench` and, in a clone, `python -m bench` start?

They run the command line, as the installed command `bench` does.
"""

from genmodel_bench.cli.main import main

main()
