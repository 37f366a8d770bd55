/** Status codes in words (RFC 9110 §15). */
import { STATUS_CODES } from 'node:http'

/** For example `404 Not Found`. */
export const statusLine = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}`.trim()
