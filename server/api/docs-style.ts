/** How the page at /docs looks: in the colours of the start page. */
export const docsStyle = `
:root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--inset:#f1f3f7;--line:#e0e4eb;--text:#161a22;--soft:#596273;--accent:#3552d4}
@media(prefers-color-scheme:dark){:root{--ground:#0e1117;--card:#161a22;--inset:#10141b;--line:#272d39;--text:#e7eaf0;--soft:#9aa4b5;--accent:#8fa5ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;display:grid;grid-template-columns:17rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.25rem;border-right:1px solid var(--line);font-size:.9rem}
nav ul{list-style:none;padding:0;margin:0}
nav>ul>li{margin:0 0 1rem}
nav li li{margin:.2rem 0}
main{padding:1.25rem 2rem 4rem;max-width:62rem}
h1{margin:.2rem 0 .5rem;font-size:1.7rem}
h2{margin:2.5rem 0 .2rem;font-size:1.3rem}
h3{margin:0;font-size:1.08rem}
h4{margin:1rem 0 .3rem;font-size:.85rem;color:var(--soft)}
p{margin:.4rem 0}
a{color:var(--accent);text-decoration:none}
a:hover{text-decoration:underline}
h3 a{color:inherit}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.25rem;margin:1rem 0;scroll-margin-top:1rem}
.soft{color:var(--soft);font-size:.9em}
.path b{color:var(--accent)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem}
td{border-top:1px solid var(--line);padding:.35rem .6rem .35rem 0;vertical-align:top}
td:first-child{width:14rem;overflow-wrap:anywhere}
td:nth-child(2){width:9rem;color:var(--soft)}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:.88em}
pre{background:var(--inset);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;overflow-x:auto;font-size:.82rem}
details{font-size:.88rem;color:var(--soft)}
@media(max-width:56rem){body{display:block}nav{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line)}main{padding:1rem}}
`;
