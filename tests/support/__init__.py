"""What several test files share; test files import from here and never from one another."""
