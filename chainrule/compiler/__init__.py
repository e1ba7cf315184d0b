"""The compiler: a traced step becomes one native program. docs/compiler.md follows a network through it."""
