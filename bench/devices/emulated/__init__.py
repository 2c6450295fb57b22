"""The cost model: profiles and prices, for devices that are not here."""
