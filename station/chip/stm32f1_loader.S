@ The part of the station that runs in the chip's SRAM. Built by stm32f1_loader.sh into stm32f1_loader.inc; the test
@ tests/bench/stm32_loader.sh builds it again and compares. Position independent, no stack, no literals.
@
@ Registers of the flash controller: PM0075, 3; of the CRC unit: RM0008, 4.

	.syntax	unified
	.cpu	cortex-m3
	.thumb
	.text

	.equ	SR, 0x0C
	.equ	CR, 0x10
	.equ	SR_ERRORS, 0x14		@ PGERR, WRPRTERR
	.equ	CRC_CR, 0x08

@ program: takes blocks of half-words from two places by turns and writes them, until the host halts the core. A place ends
@ in a header of two words: destination, and how many half-words stand right before it. The host writes the count last; it
@ reads 0 once all of them are in the flash, or with bit 31 set the controller's SR when one was refused.
@
@	r3  flash controller
@	r4  IWDG_KR
@	r5  what CR must hold while half-words are written
@	r6  header to wait for
@	r7  the other header
@
@ Whatever can be done while a half-word is being written stands before the wait for it: behind it only what its result
@ decides, in short instructions.
program:
	str	r5, [r3, #CR]
	mov	r10, r4
	mov	r12, r7
	movw	r9, #0xFFFF
	movw	r11, #0xAAAA
	movs	r4, #SR_ERRORS >> 1
next_block:
	str	r11, [r10]		@ a hardware watchdog may be running (RM0008, 19.3)
	ldr	r2, [r6, #4]
	cmp	r2, #0
	beq	next_block
	ldr	r1, [r6]
	sub	r0, r6, r2, lsl #1
	ldrh	r7, [r0]
half_word:
	cmp	r7, r9
	beq	skip			@ what an erased cell reads already
	strh	r7, [r1]
	ldrh	r7, [r0, #2]		@ the next one
	adds	r0, #2
	adds	r1, #2
	subs	r2, #1
busy:
	ldr	r5, [r3, #SR]
	lsrs	r5, r5, #1		@ BSY
	bcs	busy
	tst	r5, r4
	bne	refused
	cmp	r2, #0
	bne	half_word
	b	block_done
skip:
	ldrh	r7, [r0, #2]
	adds	r0, #2
	adds	r1, #2
	subs	r2, #1
	bne	half_word
block_done:
	movs	r2, #0
	str	r2, [r6, #4]
	mov	r2, r6
	mov	r6, r12
	mov	r12, r2
	b	next_block
refused:
	subs	r1, #2			@ r1 is where
	lsls	r5, r5, #1
	orr	r5, r5, #0x80000000
	str	r5, [r6, #4]
	bkpt	#1

@ crc: of words in the flash, by the chip's CRC unit.
@
@	r0  first word; the result
@	r1  how many words
@	r2  registers of the CRC unit
	.balign	4
crc:
	movs	r3, #1
	str	r3, [r2, #CRC_CR]	@ start value FFFFFFFF
next_word:
	ldr	r3, [r0], #4
	str	r3, [r2]
	subs	r1, #1
	bne	next_word
	ldr	r0, [r2]
	bkpt	#0
	.balign	4
