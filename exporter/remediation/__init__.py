"""The guarded rollback: evidence, a pure decision, and the little that carries it out."""
