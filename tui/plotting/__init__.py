"""Values to lines of text: charts, pictures, tables."""
