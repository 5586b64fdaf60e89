"""The phased rotation: facts open its gates, never time or a platform's word alone."""
