#include "textflag.h"

// Z0 to Z4    the sum, 40 digits with what they have to carry
// Z5 to Z9    what the sum gets once it has moved down by a digit
// Z10 to Z14  a
// Z15 to Z19  n
// Z20, Z21    a digit of b, and the next one
// Z22         the multiple of n that makes the sum's lowest digit zero
// Z23         what that digit carries
// Z24         2^52-1
// Z25         1
// Z30         k0
// Z31         0
// K1          the lowest lane

#define EACH(op, x, a0, a1, a2, a3, a4, b0, b1, b2, b3, b4) \
	op a0, x, b0; op a1, x, b1; op a2, x, b2; op a3, x, b3; op a4, x, b4

#define LOW_A(b)  EACH(VPMADD52LUQ, b, Z10, Z11, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
#define HIGH_A(b) EACH(VPMADD52HUQ, b, Z10, Z11, Z12, Z13, Z14, Z5, Z6, Z7, Z8, Z9)
#define LOW_N(y)  EACH(VPMADD52LUQ, y, Z15, Z16, Z17, Z18, Z19, Z0, Z1, Z2, Z3, Z4)
#define HIGH_N(y) EACH(VPMADD52HUQ, y, Z15, Z16, Z17, Z18, Z19, Z5, Z6, Z7, Z8, Z9)

#define CLEAR \
	VPXORQ Z5, Z5, Z5; VPXORQ Z6, Z6, Z6; VPXORQ Z7, Z7, Z7; VPXORQ Z8, Z8, Z8; VPXORQ Z9, Z9, Z9

#define ADD \
	VPADDQ Z5, Z0, Z0; VPADDQ Z6, Z1, Z1; VPADDQ Z7, Z2, Z2; VPADDQ Z8, Z3, Z3; VPADDQ Z9, Z4, Z4

// FACTOR finds the multiple of n. Only the lowest lane counts until it is in all of them.
#define FACTOR \
	VPXORQ       Z22, Z22, Z22 \
	VPMADD52LUQ  Z30, Z0, Z22 \
	VPBROADCASTQ X22, Z22

// REDUCE adds it, and moves the sum down by the digit that is zero then.
#define REDUCE \
	LOW_N(Z22) \
	HIGH_N(Z22) \
	VPSRLQ.Z $52, Z0, K1, Z23 \
	VALIGNQ  $1, Z0, Z1, Z0 \
	VALIGNQ  $1, Z1, Z2, Z1 \
	VALIGNQ  $1, Z2, Z3, Z2 \
	VALIGNQ  $1, Z3, Z4, Z3 \
	VALIGNQ  $1, Z4, Z31, Z4 \
	ADD \
	VPADDQ   Z23, Z0, Z0

// STEP is what a digit of b takes, less what the step before has added of its product;
// next becomes the digit after it.
#define STEP(b, next) \
	FACTOR \
	CLEAR \
	HIGH_A(b) \
	ADDQ         $8, CX \
	VPBROADCASTQ 0(CX), next \
	LOW_A(next) \
	REDUCE

// func multiply52(out, a, b, n *[40]uint64, k0 uint64)
TEXT ·multiply52(SB), NOSPLIT, $0-40
	MOVQ         out+0(FP), DI
	MOVQ         a+8(FP), SI
	MOVQ         b+16(FP), CX
	MOVQ         n+24(FP), DX
	VPBROADCASTQ k0+32(FP), Z30
	VMOVDQU64    0(SI), Z10
	VMOVDQU64    64(SI), Z11
	VMOVDQU64    128(SI), Z12
	VMOVDQU64    192(SI), Z13
	VMOVDQU64    256(SI), Z14
	VMOVDQU64    0(DX), Z15
	VMOVDQU64    64(DX), Z16
	VMOVDQU64    128(DX), Z17
	VMOVDQU64    192(DX), Z18
	VMOVDQU64    256(DX), Z19
	VPXORQ       Z31, Z31, Z31
	MOVL         $1, AX
	KMOVW        AX, K1
	VPBROADCASTQ AX, Z25
	MOVQ         $0xfffffffffffff, AX
	VPBROADCASTQ AX, Z24

	VPBROADCASTQ 0(CX), Z20
	CLEAR
	LOW_A(Z20)
	VMOVDQA64    Z5, Z0
	VMOVDQA64    Z6, Z1
	VMOVDQA64    Z7, Z2
	VMOVDQA64    Z8, Z3
	VMOVDQA64    Z9, Z4
	MOVL         $19, AX

next:
	STEP(Z20, Z21)
	STEP(Z21, Z20)
	DECL AX
	JNZ  next
	STEP(Z20, Z21)
	FACTOR
	CLEAR
	HIGH_A(Z21)
	REDUCE

	// Each digit passes on what is above its 52 bits.
	VPSRLQ  $52, Z0, Z5
	VPSRLQ  $52, Z1, Z6
	VPSRLQ  $52, Z2, Z7
	VPSRLQ  $52, Z3, Z8
	VPSRLQ  $52, Z4, Z9
	VALIGNQ $7, Z8, Z9, Z9
	VALIGNQ $7, Z7, Z8, Z8
	VALIGNQ $7, Z6, Z7, Z7
	VALIGNQ $7, Z5, Z6, Z6
	VALIGNQ $7, Z31, Z5, Z5
	VPANDQ  Z24, Z0, Z0
	VPANDQ  Z24, Z1, Z1
	VPANDQ  Z24, Z2, Z2
	VPANDQ  Z24, Z3, Z3
	VPANDQ  Z24, Z4, Z4
	ADD

	// Then a carry is 1: BX has a bit for each digit that makes one, R8 for each that is all
	// ones and passes one on. An addition finds where they end up.
	VPCMPUQ $6, Z24, Z4, K2
	VPCMPUQ $6, Z24, Z3, K3
	VPCMPUQ $6, Z24, Z2, K4
	VPCMPUQ $6, Z24, Z1, K5
	VPCMPUQ $6, Z24, Z0, K6
	KMOVW   K2, BX
	KMOVW   K3, R9
	KMOVW   K4, R10
	KMOVW   K5, R11
	KMOVW   K6, R12
	SHLQ    $8, BX
	ORQ     R9, BX
	SHLQ    $8, BX
	ORQ     R10, BX
	SHLQ    $8, BX
	ORQ     R11, BX
	SHLQ    $8, BX
	ORQ     R12, BX
	VPCMPUQ $0, Z24, Z4, K2
	VPCMPUQ $0, Z24, Z3, K3
	VPCMPUQ $0, Z24, Z2, K4
	VPCMPUQ $0, Z24, Z1, K5
	VPCMPUQ $0, Z24, Z0, K6
	KMOVW   K2, R8
	KMOVW   K3, R9
	KMOVW   K4, R10
	KMOVW   K5, R11
	KMOVW   K6, R12
	SHLQ    $8, R8
	ORQ     R9, R8
	SHLQ    $8, R8
	ORQ     R10, R8
	SHLQ    $8, R8
	ORQ     R11, R8
	SHLQ    $8, R8
	ORQ     R12, R8
	LEAQ    (R8)(BX*2), BX
	XORQ    R8, BX
	KMOVW   BX, K2
	SHRQ    $8, BX
	KMOVW   BX, K3
	SHRQ    $8, BX
	KMOVW   BX, K4
	SHRQ    $8, BX
	KMOVW   BX, K5
	SHRQ    $8, BX
	KMOVW   BX, K6
	VPADDQ  Z25, Z0, K2, Z0
	VPADDQ  Z25, Z1, K3, Z1
	VPADDQ  Z25, Z2, K4, Z2
	VPADDQ  Z25, Z3, K5, Z3
	VPADDQ  Z25, Z4, K6, Z4
	VPANDQ  Z24, Z0, Z0
	VPANDQ  Z24, Z1, Z1
	VPANDQ  Z24, Z2, Z2
	VPANDQ  Z24, Z3, Z3
	VPANDQ  Z24, Z4, Z4

	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	VMOVDQU64 Z4, 256(DI)
	VZEROUPPER
	RET
