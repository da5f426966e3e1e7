"""SQL on FHIR: ViewDefinitions compiled into decoders and row functions.

definition.py reads a ViewDefinition, fhirpath.py its expressions; schema.py knows FHIR's types. resolve.py and steps.py
check the one against the other (tree.py) and note in shapes.py what has to be decoded. compiler.py, columns.py and
repeat.py write what is done with one resource, emit.py, conditions.py and dispatch.py its expressions, source.py its
lines; functions.py makes functions of it, binding.py runs their source, which calls values.py, dates.py and
equality.py. runner.py runs a view, together.py several in one pass, batches.py and arrow.py build Arrow batches,
faults.py says what is wrong with a resource.
"""

from integration.errors import ViewError
from integration.views.runner import CompiledView, compile_view
from integration.views.together import CompiledViews, compile_views

__all__ = ["CompiledView", "CompiledViews", "ViewError", "compile_view", "compile_views"]
