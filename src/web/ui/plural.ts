/** 1 row, 2 rows. */
import { number } from './format.ts'

export const plural = (count: number, noun: string): string => `${number(count)} ${noun}${count === 1 ? '' : 's'}`
