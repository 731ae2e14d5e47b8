"""Files of mirrors: bounded, digest-checked, parallel, retried, resumed."""
