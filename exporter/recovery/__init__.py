"""The offline way out: a certificate by the old CA for the gateway's own key, ready to deploy."""
