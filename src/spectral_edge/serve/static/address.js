// What a view shows is in its address, so that every view can be kept, sent and opened again.

export function asked(name, fallback = null) {
  return new URLSearchParams(location.search).get(name) ?? fallback;
}

export function askedAll(name) {
  return new URLSearchParams(location.search).getAll(name);
}

export function address(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, one);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export function keep(parameters) {
  history.replaceState(null, "", address(location.pathname, parameters));
}
