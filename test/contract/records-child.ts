/** A process to be killed: `records-child.ts FILE` changes one record after another and prints each acknowledged version. */
import { writeSync } from 'node:fs'
import { systemClock } from '../../src/core/clock.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'

const records = openRecords(process.argv[2] ?? '', systemClock)
let version: number | 'absent' = 'absent'
for (let count = 0; ; count++) {
  version = (await records.put('counted', String(count), { expect: version })) ?? process.exit(3)
  // straight to the pipe: what the parent reads was acknowledged
  writeSync(1, `${version}\n`)
}
