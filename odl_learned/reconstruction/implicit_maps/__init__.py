"""Maps defined by an equation, with derivatives by the implicit function theorem."""
