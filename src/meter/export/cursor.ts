/** How far an export has come, kept in the records: changed only from the version that was read. */
import { GatewayError } from '../../core/errors.ts'
import type { Records } from '../../store/records.ts'
import type { Position } from './source.ts'
import { type Cursor, type Cut, firstCursor } from './window.ts'

export interface KeptCursor {
  readonly cursor: Cursor
  readonly version: number | 'absent'
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const readCut = (value: unknown): Cut | undefined => {
  if (!isRecord(value)) return undefined
  const { events, below } = value
  return isCount(events) && isCount(below) ? { events, below } : undefined
}

const readPosition = (value: unknown): Position | undefined => {
  if (!isRecord(value)) return undefined
  const { segment, offset } = value
  return typeof segment === 'string' && isCount(offset) ? { segment, offset } : undefined
}

const parse = (text: string): Cursor | undefined => {
  const value: unknown = JSON.parse(text)
  if (!isRecord(value)) return undefined
  const { sequence, from, sent, window, taken } = value
  const [kept, position, cut] = [readCut(sent), readPosition(from), readCut(window)]
  if (kept === undefined || !isCount(sequence) || !isCount(taken)) return undefined
  if ((from !== undefined && position === undefined) || (window !== undefined && cut === undefined)) return undefined
  return {
    sequence,
    ...(position === undefined ? {} : { from: position }),
    sent: kept,
    ...(cut === undefined ? {} : { window: cut }),
    taken,
  }
}

/** Throws `internal` for a record that is none of ours: to begin anew would send everything twice. */
export const loadCursor = async (records: Records, key: string): Promise<KeptCursor> => {
  const found = await records.get(key)
  if (found === undefined) return { cursor: firstCursor, version: 'absent' }
  let cause: unknown
  try {
    const cursor = parse(found.value)
    if (cursor !== undefined) return { cursor, version: found.version }
  } catch (error) {
    cause = error
  }
  throw new GatewayError('internal', { cause: new Error(`the record ${key} is damaged`, { cause }) })
}

/** `undefined`, and nothing changed, when someone else has moved the cursor. */
export const saveCursor = async (
  records: Records,
  key: string,
  cursor: Cursor,
  expect: number | 'absent',
): Promise<KeptCursor | undefined> => {
  const version = await records.put(key, JSON.stringify(cursor), { expect })
  return version === undefined ? undefined : { cursor, version }
}
