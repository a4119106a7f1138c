"""Published weights: fetched, read without their framework, converted by rule, and kept in the user's cache."""
