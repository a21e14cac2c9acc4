/**
 * Reading documents that came out of a notebook file: typed access that says what is wrong in one sentence.
 *
 * A notebook is a stranger's file, so nothing is believed before it was looked at.
 */

/** What cannot be shown, in one sentence for the person who looks at the output. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

export type JSONRecord = Readonly<Record<string, unknown>>;

/** Whether a value is an object with keys. */
export function isRecord(value: unknown): value is JSONRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The document if it is of this kind and of a version this code knows. */
export function documentOf(value: unknown, kind: string): JSONRecord {
  if (!isRecord(value)) {
    throw new UnreadableError(`This output is no ${kind} document.`);
  }
  const version = value.version;
  if (typeof version === 'number' && version > 1) {
    throw new UnreadableError(
      `This ${kind} was written by a newer clnrm_nb (document version ${version}): update clnrm_nb here to see it.`
    );
  }
  if (version !== 1 || value.kind !== kind) {
    throw new UnreadableError(`This output is no ${kind} document of version 1.`);
  }
  return value;
}

/** A list, empty where the key is missing. */
export function listAt(record: JSONRecord, key: string): readonly unknown[] {
  const value = record[key] ?? [];
  if (!Array.isArray(value)) {
    throw new UnreadableError(`This output is damaged: "${key}" is no list.`);
  }
  return value;
}

/** A list of words; null becomes the word for nothing. */
export function wordsAt(record: JSONRecord, key: string, nothing = ''): readonly string[] {
  return listAt(record, key).map(word => (typeof word === 'string' ? word : nothing));
}

export function recordAt(record: JSONRecord, key: string): JSONRecord {
  const value = record[key];
  if (!isRecord(value)) {
    throw new UnreadableError(`This output is damaged: "${key}" is missing.`);
  }
  return value;
}

export function numberAt(record: JSONRecord, key: string, missing: number): number {
  const value = record[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : missing;
}

export function textAt(record: JSONRecord, key: string): string {
  const value = record[key];
  return typeof value === 'string' ? value : '';
}

/** Columns packed into one text each, all of the length of the first that was asked for. */
export class Columns {
  constructor(private readonly _columns: JSONRecord) {}

  /** Whole numbers, one a row. */
  numbers(name: string): Float64Array {
    return Float64Array.from(this.texts(name), text => {
      const number = Number(text);
      if (!Number.isInteger(number)) {
        throw new UnreadableError(`This output is damaged: column "${name}" holds something else than numbers.`);
      }
      return number;
    });
  }

  /** Words without spaces, percent-encoded, one a row; kept encoded until one is shown. */
  texts(name: string): readonly string[] {
    const packed = this._columns[name];
    if (typeof packed !== 'string') {
      throw new UnreadableError(`This output is damaged: column "${name}" is missing.`);
    }
    const texts = packed === '' ? [] : packed.split(' ');
    this._length ??= texts.length;
    if (texts.length !== this._length) {
      throw new UnreadableError(`This output is damaged: column "${name}" has another length than the others.`);
    }
    return texts;
  }

  has(name: string): boolean {
    return typeof this._columns[name] === 'string';
  }

  private _length: number | null = null;
}

/** Percent-decoded text; what is no valid encoding stays as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
