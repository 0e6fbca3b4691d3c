#include "textflag.h"

// The kernels hold a block of eight words, what was carried over from the words
// below, in R8 to R15, and the two chains of carries of a row in CF and OF.
//
// SI: words of the long factor   CX: words of the block factor
// DI: words of the sum           DX: a word of the block factor
// AX, BX: a product              c: the carry out of the sum's last block

// FIRST and REST add DX times the eight words at SI to the block a0 ... a7, which
// moves up by one word: after FIRST what is in a0 is whole, in REST a0 becomes the
// highest word.
#define FIRST(a0, a1) \
	XORQ  AX, AX \
	MULXQ 0(SI), AX, BX; ADCXQ AX, a0; ADOXQ BX, a1

#define REST(a0, a1, a2, a3, a4, a5, a6, a7) \
	MULXQ 8(SI), AX, BX; ADCXQ AX, a1; ADOXQ BX, a2 \
	MULXQ 16(SI), AX, BX; ADCXQ AX, a2; ADOXQ BX, a3 \
	MULXQ 24(SI), AX, BX; ADCXQ AX, a3; ADOXQ BX, a4 \
	MULXQ 32(SI), AX, BX; ADCXQ AX, a4; ADOXQ BX, a5 \
	MULXQ 40(SI), AX, BX; ADCXQ AX, a5; ADOXQ BX, a6 \
	MULXQ 48(SI), AX, BX; ADCXQ AX, a6; ADOXQ BX, a7 \
	MULXQ 56(SI), AX, a0; ADCXQ AX, a7 \
	MOVL  $0, AX; ADOXQ AX, a0; ADCXQ AX, a0

#define MUL(i, a0, a1, a2, a3, a4, a5, a6, a7) \
	MOVQ i(CX), DX \
	FIRST(a0, a1) \
	MOVQ a0, i(DI) \
	REST(a0, a1, a2, a3, a4, a5, a6, a7)

// BLOCK adds the sum's next block to the one that is held, then the product.
#define BLOCK \
	MOVQ c-8(SP), BX \
	ADDQ $-1, BX \
	ADCQ 0(DI), R8; ADCQ 8(DI), R9; ADCQ 16(DI), R10; ADCQ 24(DI), R11 \
	ADCQ 32(DI), R12; ADCQ 40(DI), R13; ADCQ 48(DI), R14; ADCQ 56(DI), R15 \
	MOVL $0, BX \
	ADCQ $0, BX \
	MOVQ BX, c-8(SP) \
	MUL(0, R8, R9, R10, R11, R12, R13, R14, R15) \
	MUL(8, R9, R10, R11, R12, R13, R14, R15, R8) \
	MUL(16, R10, R11, R12, R13, R14, R15, R8, R9) \
	MUL(24, R11, R12, R13, R14, R15, R8, R9, R10) \
	MUL(32, R12, R13, R14, R15, R8, R9, R10, R11) \
	MUL(40, R13, R14, R15, R8, R9, R10, R11, R12) \
	MUL(48, R14, R15, R8, R9, R10, R11, R12, R13) \
	MUL(56, R15, R8, R9, R10, R11, R12, R13, R14) \
	ADDQ $64, SI \
	ADDQ $64, DI

// REDUCE adds that multiple of the modulus which makes a0 zero, and notes the factor.
#define REDUCE(i, a0, a1, a2, a3, a4, a5, a6, a7) \
	MOVQ  a0, DX \
	IMULQ k0+16(FP), DX \
	MOVQ  DX, i(CX) \
	FIRST(a0, a1) \
	REST(a0, a1, a2, a3, a4, a5, a6, a7)

// LAST adds the block that is held to the sum's highest block; BX is the carry.
#define LAST \
	MOVQ c-8(SP), BX \
	ADDQ $-1, BX \
	ADCQ R8, 0(DI); ADCQ R9, 8(DI); ADCQ R10, 16(DI); ADCQ R11, 24(DI) \
	ADCQ R12, 32(DI); ADCQ R13, 40(DI); ADCQ R14, 48(DI); ADCQ R15, 56(DI) \
	MOVL $0, BX \
	ADCQ $0, BX

// func addMul(z, x, y *uint64, n int) (carry uint64)
TEXT ·addMul(SB), NOSPLIT, $16-40
	MOVQ z+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), CX
	MOVQ n+24(FP), AX
	MOVQ AX, left-16(SP)
	MOVQ $0, c-8(SP)
	XORL R8, R8
	XORL R9, R9
	XORL R10, R10
	XORL R11, R11
	XORL R12, R12
	XORL R13, R13
	XORL R14, R14
	XORL R15, R15

next:
	BLOCK
	DECQ left-16(SP)
	JNZ  next
	LAST
	MOVQ BX, carry+32(FP)
	RET

// func addReduced(z, m *uint64, k0 uint64, n int) (carry uint64)
TEXT ·addReduced(SB), NOSPLIT, $80-40
	MOVQ z+0(FP), DI
	MOVQ m+8(FP), SI
	LEAQ factors-80(SP), CX
	MOVQ n+24(FP), AX
	MOVQ AX, left-16(SP)
	MOVQ $0, c-8(SP)
	MOVQ 0(DI), R8
	MOVQ 8(DI), R9
	MOVQ 16(DI), R10
	MOVQ 24(DI), R11
	MOVQ 32(DI), R12
	MOVQ 40(DI), R13
	MOVQ 48(DI), R14
	MOVQ 56(DI), R15
	REDUCE(0, R8, R9, R10, R11, R12, R13, R14, R15)
	REDUCE(8, R9, R10, R11, R12, R13, R14, R15, R8)
	REDUCE(16, R10, R11, R12, R13, R14, R15, R8, R9)
	REDUCE(24, R11, R12, R13, R14, R15, R8, R9, R10)
	REDUCE(32, R12, R13, R14, R15, R8, R9, R10, R11)
	REDUCE(40, R13, R14, R15, R8, R9, R10, R11, R12)
	REDUCE(48, R14, R15, R8, R9, R10, R11, R12, R13)
	REDUCE(56, R15, R8, R9, R10, R11, R12, R13, R14)
	ADDQ $64, SI
	ADDQ $64, DI
	JMP  test

next:
	BLOCK

test:
	DECQ left-16(SP)
	JNZ  next
	LAST
	MOVQ BX, carry+32(FP)
	RET
