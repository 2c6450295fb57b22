"""What one check found, in every form that people and services read; each made from the document `Checked` alone."""
