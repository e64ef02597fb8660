
J0HmQl	lVUFã®jÀäÒqZY0ÐÑTÔT‡e2h.e?g»nMr€ãªq6^Å_C`üÎ