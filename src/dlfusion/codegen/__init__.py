"""Writing source text: lines, indentation, comments and identifiers."""
