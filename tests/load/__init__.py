"""Much work for a long time: many files, many steps, many visitors (`make load`)."""
