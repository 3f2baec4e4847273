"""From torch back to ODL: operators, functionals and proximals made of modules."""
