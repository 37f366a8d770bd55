/** Events as one Parquet file: a column for each field, times as timestamps, what may be missing nullable. */
import { type BasicType, ByteWriter, type ColumnSource, parquetWrite } from 'hyparquet-writer'
import { limits } from '../../core/limits.ts'
import type { LedgerEvent } from './source.ts'

type Value = string | bigint | number | Date | undefined

interface Column {
  readonly name: string
  readonly type: BasicType
  readonly nullable: boolean
  readonly value: (event: LedgerEvent) => Value
}

const text = (name: string, value: (event: LedgerEvent) => string): Column => ({
  name,
  type: 'STRING',
  nullable: false,
  value,
})

const count = (name: string, value: (event: LedgerEvent) => number): Column => ({
  name,
  type: 'INT64',
  nullable: false,
  value: (event) => BigInt(value(event)),
})

const columns: readonly Column[] = [
  text('id', ({ id }) => id),
  { name: 'time', type: 'TIMESTAMP', nullable: false, value: ({ at }) => new Date(at) },
  text('tenant', ({ tenant }) => tenant),
  text('subject', ({ subject }) => subject),
  text('client', ({ client }) => client),
  text('target', ({ target }) => target),
  text('tool', ({ tool }) => tool),
  text('meter', ({ meter }) => meter),
  text('outcome', ({ outcome }) => outcome),
  count('units', ({ units }) => units),
  { name: 'status', type: 'INT32', nullable: true, value: ({ status }) => status },
  count('ms', ({ ms }) => ms),
  count('waitMs', ({ waitMs }) => waitMs),
  count('bytesIn', ({ bytesIn }) => bytesIn),
  count('bytesOut', ({ bytesOut }) => bytesOut),
  {
    name: 'snapshot',
    type: 'INT64',
    nullable: true,
    value: ({ snapshot }) => (snapshot === undefined ? undefined : BigInt(snapshot)),
  },
  { name: 'trace', type: 'STRING', nullable: true, value: ({ trace }) => trace },
]

/** The same bytes for the same events. `pause` is awaited after each row group, so that calls come in between. */
export const parquet = async (events: readonly LedgerEvent[], pause: () => Promise<void>): Promise<Uint8Array> => {
  const columnData = columns.map(
    ({ name, type, nullable, value }): ColumnSource => ({
      name,
      type,
      nullable,
      data: events.map((event) => value(event) ?? null),
    }),
  )
  const writer = Object.assign(new ByteWriter(), { flush: pause })
  await parquetWrite({ writer, columnData, createdBy: 'toolgate', rowGroupSize: limits.exportRowGroup })
  return writer.getBytes()
}
