	J$HIA]o.*`k@[W2Up/w
	08y6&=n1d