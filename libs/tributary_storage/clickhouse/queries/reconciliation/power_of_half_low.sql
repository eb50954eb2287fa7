-- 2^62 halved by the lower 12 fraction bits of `exponent`, rounded once: the product of a constant per bit, each
-- 2^120 * 2^(-2^bit / 2^24) rounded. Gives the entries of `time_decay.LOW` without reading them.
bitShiftRight(
    arrayFold(
        (power, factor, bit) -> if(
            bitAnd(bitShiftRight(exponent, bit), 1) = 1,
            bitShiftRight(power * factor, 120),
            power
        ),
        [
            toUInt256('1329227940868139539633922846630121803'),
            toUInt256('1329227885951365475239154415893557021'),
            toUInt256('1329227776117824153074589950763860183'),
            toUInt256('1329227556450768735242725939312283839'),
            toUInt256('1329227117116766805547060262366218034'),
            toUInt256('1329226238449198569859999710158980739'),
            toUInt256('1329224481115804591959133988136131721'),
            toUInt256('1329220966455986599299814803654454123'),
            toUInt256('1329213937164230380546164508988548108'),
            toUInt256('1329199878692236321264939628176771048'),
            toUInt256('1329171762194316211390357511898917393'),
            toUInt256('1329115530982703993534408365343653976')
        ],
        range(0, 12),
        bitShiftLeft(toUInt256(1), 120)
    ) + bitShiftLeft(toUInt256(1), 57),
    58
)
