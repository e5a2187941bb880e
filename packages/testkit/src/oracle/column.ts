/** A list of numbers at 8 bytes each. */
export interface NumberColumn {
  readonly length: number
  push(value: number): void
  at(index: number): number
}

/** A list of 64-bit hashes at 8 bytes each. */
export interface HashColumn {
  readonly length: number
  push(value: bigint): void
  at(index: number): bigint
}

const FIRST_LENGTH = 16

export function createNumberColumn(): NumberColumn {
  let values = new Float64Array(FIRST_LENGTH)
  let length = 0
  return {
    get length() {
      return length
    },
    push(value) {
      if (length === values.length) {
        const wider = new Float64Array(length * 2)
        wider.set(values)
        values = wider
      }
      values[length++] = value
    },
    at: index => values[index] as number,
  }
}

export function createHashColumn(): HashColumn {
  let values = new BigUint64Array(FIRST_LENGTH)
  let length = 0
  return {
    get length() {
      return length
    },
    push(value) {
      if (length === values.length) {
        const wider = new BigUint64Array(length * 2)
        wider.set(values)
        values = wider
      }
      values[length++] = value
    },
    at: index => values[index] as bigint,
  }
}
