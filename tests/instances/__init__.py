"""Small instances of every public class, by name: what the conformance suite runs on.

Shapes are not square unless they must be; spaces are real and complex, weighted and not.
"""

from instances import functionals, generative, modules, odl_operators, operators, weighted

OPERATORS = (operators.OPERATORS | odl_operators.OPERATORS
             | weighted.table(weighted.OPERATORS))
FUNCTIONALS = (functionals.FUNCTIONALS | generative.FUNCTIONALS
               | weighted.table(weighted.FUNCTIONALS))
MODULES = modules.MODULES
