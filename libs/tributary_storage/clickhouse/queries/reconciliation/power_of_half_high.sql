-- 2^62 halved by the upper 12 fraction bits of `exponent`, rounded once: the product of a constant per bit, each
-- 2^120 * 2^(-2^bit / 2^12) rounded. Gives the entries of `time_decay.HIGH` without reading them.
bitShiftRight(
    arrayFold(
        (power, factor, bit) -> if(
            bitAnd(bitShiftRight(exponent, bit), 1) = 1,
            bitShiftRight(power * factor, 120),
            power
        ),
        [
            toUInt256('1329003075696039316500484602254534730'),
            toUInt256('1328778193666131229509321233509354052'),
            toUInt256('1328328543757461558664981543305424830'),
            toUInt256('1327429700364456907781023061543457990'),
            toUInt256('1325633837834690508963717048037218525'),
            toUInt256('1322049398285982516061304924529990959'),
            toUInt256('1314909569352122348325159125266850030'),
            toUInt256('1300745380819945908267688182657670528'),
            toUInt256('1272873089560025263042053741399087120'),
            toUInt256('1218907446475609545032963071138623061'),
            toUInt256('1117743056710415342136155708219993408'),
            toUInt256('939906129562517623222788173740722879')
        ],
        range(12, 24),
        bitShiftLeft(toUInt256(1), 120)
    ) + bitShiftLeft(toUInt256(1), 57),
    58
)
