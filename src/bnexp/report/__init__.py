"""The report of a study: what was asked, what came out, how sure that is, and how to do it again."""
