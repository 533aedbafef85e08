//! Flag > `PGSET_*` variable > the article's variables > default.
