
J0нaйjвJи{дqЂжlдШ^h^лЫXTбUвZиДЯ‹ЯXгкtgz^CSЙVВX