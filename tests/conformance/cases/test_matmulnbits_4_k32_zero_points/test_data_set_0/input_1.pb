J@OU▐NйDY*`}И"7oMЕсоЛ▐DZ
яXm-мxPsшw\ЪP╛Щo%g┬`╘8`o│$╝l5_*,O▐У