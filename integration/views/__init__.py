"""SQL on FHIR: ViewDefinitions compiled into decoders and row functions.

definition.py reads a ViewDefinition, fhirpath.py its expressions, schema.py knows FHIR's types; resolve.py checks the
one against the other (tree.py), shapes.py builds the decoder of what is read, compiler.py and emit.py write the row
function, values.py is what that function calls, runner.py runs it.
"""

from integration.errors import ViewError
from integration.views.runner import CompiledView, compile_view

__all__ = ["CompiledView", "ViewError", "compile_view"]
