"""Wrong inputs to public names: valid calls, ten kinds of mistakes, and what comes back.

A *call* is a public callable with a valid value for each argument (``calls_*.py``). Each argument
in turn is replaced by the wrong values of its *role*, what the valid value is: a count, a number,
an array, an element, a space, an operator, a module, a file (``kinds.py``). The *outcome* is a
clear error, an unclear one, an answer, or none in time (``outcomes.py``). An answer may be right:
no constraint is a constraint, a negative angle an angle; which of them are silently wrong is for
the tests of each room to say.
"""
