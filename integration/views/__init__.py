"""SQL on FHIR: ViewDefinitions compiled into decoders and row functions.

definition.py reads a ViewDefinition, fhirpath.py its expressions; schema.py knows FHIR's types. resolve.py and steps.py
check the one against the other (tree.py) and note in shapes.py what has to be decoded. compiler.py, columns.py and
repeat.py write the row function, emit.py and conditions.py its expressions, source.py its lines; values.py and dates.py
are what it calls. runner.py runs it, arrow.py builds batches.
"""

from integration.errors import ViewError
from integration.views.runner import CompiledView, compile_view

__all__ = ["CompiledView", "ViewError", "compile_view"]
